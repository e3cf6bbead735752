"""An experiment on another machine: jobs below jobs/ in the storage remote, where they run, and what comes back."""
