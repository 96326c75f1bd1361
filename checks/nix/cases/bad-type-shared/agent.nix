{ hyperhive.shared = true; }
