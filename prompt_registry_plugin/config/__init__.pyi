from .models import AppConfig as AppConfig
