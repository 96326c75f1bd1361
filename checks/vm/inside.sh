# What the virtual machine runs when it is up: its tests, with the checkout's Python.
cd /opt/hive-test/checkout || exit 2
export HIVE_TEST_INSIDE=1 PYTHONDONTWRITEBYTECODE=1 LC_ALL=C.UTF-8 HOME=/root
exec /opt/hive-test/venv/bin/python -m pytest -vv --color=no -p no:cacheprovider -n 0 \
  checks/vm checks/unit/host/backends/test_mounts.py
