"""Messages, questions, reminders and notifications: what is said, to whom, and when."""
