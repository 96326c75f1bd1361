{ hyperhive.secrets.X.inject = [ { preset = "git"; } ]; }
