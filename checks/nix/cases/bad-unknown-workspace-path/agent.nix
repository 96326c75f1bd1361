{ hyperhive.workspaces.site.path = "/home/alice/site"; }
