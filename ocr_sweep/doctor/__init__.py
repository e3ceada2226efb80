"""Whether study, tracking store and disk tell the same story: read by itself, with none of the code that wrote them."""
