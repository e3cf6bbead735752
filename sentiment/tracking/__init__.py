"""DVC and git: files of earlier revisions, experiments, and their comparison."""
