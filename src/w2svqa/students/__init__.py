"""The models that compare: compact and large, their losses and their bundles."""
