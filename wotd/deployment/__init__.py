"""What runs on other people's machines: scripts and the archive for SageMaker, and a container image.

The scripts, :mod:`~wotd.deployment.train` and :mod:`~wotd.deployment.inference`, also work when they are copied alone
beside an installed ``wotd``; :mod:`~wotd.deployment.package` makes the archive.
"""
