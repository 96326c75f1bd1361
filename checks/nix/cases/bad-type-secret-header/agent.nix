{ hyperhive.secrets.X.inject = [ { host = "a.test"; header = "X: a"; } ]; }
