"Any text."
