"""Messages, questions, reminders and notifications."""
