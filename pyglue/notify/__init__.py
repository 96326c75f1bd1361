"""hive-notify: sends notifications to where the operator reads them, with Apprise."""
