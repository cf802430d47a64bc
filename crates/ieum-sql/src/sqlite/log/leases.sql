-- A fence is a lease: who took it, and how often it was renewed. An empty holder is nobody.
ALTER TABLE ieum_fences ADD COLUMN renewals INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ieum_fences ADD COLUMN holder TEXT NOT NULL DEFAULT '';
