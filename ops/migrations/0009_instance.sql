-- Which instance, an id beside its journal, the name of a replica was last taken by. Until it has left, no other one
-- takes the name. NULL where a replica of the release before has taken it, which writes none.
ALTER TABLE replica ADD COLUMN instance uuid;
