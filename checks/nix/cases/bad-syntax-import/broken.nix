{ hyperhive.model = ; }
