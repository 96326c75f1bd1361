"""Common parts of the hive's daemons.

``daemon`` has their command line and shutdown, ``log`` their log, ``usage`` the
resources that one of them uses.
"""
