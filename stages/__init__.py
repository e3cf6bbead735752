"""The stages of the pipeline in dvc.yaml, one module each."""
