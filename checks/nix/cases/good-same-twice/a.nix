{ hyperhive.model = "opus"; hyperhive.network = true; }
