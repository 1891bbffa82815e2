"""The nouns everything shares: records, protocols, errors, configuration, storage. No torch."""
