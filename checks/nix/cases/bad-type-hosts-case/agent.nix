{ hyperhive.network.allow = [ "GitHub.com" ]; }
