"""Providers as configuration: one YAML file each, shipped here or laid into the folder UNDERSKY_PROFILES.

profiles = load_profiles(settings.profiles)                 name -> Profile, shipped ones and the folder's
access = profiles[name].access(read_credentials(settings.credentials))
"""

from undersky.services.profiles.profile import FileRule, Product, Profile, Quota, Rewrite
from undersky.services.profiles.reading import load_profiles, read_profile

__all__ = ["FileRule", "Product", "Profile", "Quota", "Rewrite", "load_profiles", "read_profile"]
