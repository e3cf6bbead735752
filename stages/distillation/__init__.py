"""The parts of `python -m stages.distill`, which makes the bundled encoder. No stage of the pipeline imports them."""
