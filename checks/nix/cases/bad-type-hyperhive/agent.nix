{ hyperhive = 5; }
