{ hyperhive.schedule."a b" = { at = "08:00"; message = "x"; }; }
