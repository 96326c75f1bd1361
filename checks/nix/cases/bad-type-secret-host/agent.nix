{ hyperhive.secrets.X.inject = [ { host = "*.github.com"; } ]; }
