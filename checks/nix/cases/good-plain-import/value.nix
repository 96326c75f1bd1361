{ model = "opus"; allowedTools = [ "Read" ]; }
