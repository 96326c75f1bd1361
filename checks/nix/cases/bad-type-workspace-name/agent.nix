{ hyperhive.workspaces."../etc" = { }; }
