{ hyperhive.secrets.X.expose = "argv"; }
