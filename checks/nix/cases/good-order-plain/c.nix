{ hyperhive.allowedTools = [ "Glob" ]; hyperhive.prompt = "c"; }
