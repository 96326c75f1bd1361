{ hyperhive.secrets.X.inject = [ { host = "a.test"; preset = "ssh"; } ]; }
