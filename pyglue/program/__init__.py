"""What the hive's daemons have in common.

``daemon`` has their command line and shutdown, ``log`` their log, ``usage`` the
resources that one of them uses.
"""
