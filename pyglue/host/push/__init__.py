"""Web Push: notifications to browsers that the operator subscribed.

hived has the key, encrypts and signs; hive-notify sends them without reading.
"""
