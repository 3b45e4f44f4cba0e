from .middleware import RegistryMiddleware as RegistryMiddleware
from .prompts import RegistryChatPrompt as RegistryChatPrompt
from .prompts import RegistryPrompt as RegistryPrompt
