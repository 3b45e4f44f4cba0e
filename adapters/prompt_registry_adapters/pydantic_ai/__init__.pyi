from .capability import RegistryCapability as RegistryCapability
from .instructions import registry_instructions as registry_instructions
