{ hyperhive.allowedTools = [ "Edit" ]; }
