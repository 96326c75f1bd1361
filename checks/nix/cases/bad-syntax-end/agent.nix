{ hyperhive = {
