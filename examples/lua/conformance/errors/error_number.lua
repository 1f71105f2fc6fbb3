-- A number as error value is converted and gets no position.
error(42)
