"""hive-notify: sends notifications to the operator's services, with Apprise."""
