{ hyperhive.allowedTools = [ "Write" ]; hyperhive.prompt = "b"; }
