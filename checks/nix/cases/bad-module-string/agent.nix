"hyperhive"
