"""The program that runs a job where it was sent: standard library and boto3 only; zipped as runner.pyz."""
