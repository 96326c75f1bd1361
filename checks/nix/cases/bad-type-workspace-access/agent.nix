{ hyperhive.workspaces.site.access = "execute"; }
