{ hyperhive = [ { model = "opus"; } ]; }
