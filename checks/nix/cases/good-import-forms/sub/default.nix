{ hyperhive.allowedTools = [ "Read" ]; }
