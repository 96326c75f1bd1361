{ hyperhive.network = true; }
