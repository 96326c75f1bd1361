{ hyperhive.secrets.X.inject = [ { host = "a.test"; format = "{}\n"; } ]; }
