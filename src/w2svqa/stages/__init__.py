"""The verbs of the pipeline, one file per arrow."""
