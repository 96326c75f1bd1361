{ _module.check = false; hyperhive.modle = "x"; }
