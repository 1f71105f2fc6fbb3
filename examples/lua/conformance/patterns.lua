-- Pattern items one by one: classes, sets, quantifiers, anchors, frontiers,
-- balanced matches, back references.
local function all(text, pattern)
  local out = {}
  for m in text:gmatch(pattern) do out[#out + 1] = "<" .. tostring(m) .. ">" end
  print((pattern:gsub("%z", "\\0")), (table.concat(out):gsub("%z", "\\0")))
end

-- Which ASCII characters belong to each class, as a count and a checksum.
for class in ("acdglpsuwxACDGLPSUWX."):gmatch(".") do
  local pattern = class == "." and "." or "%" .. class
  local count, sum = 0, 0
  for i = 0, 127 do
    if string.char(i):find("^" .. pattern) then count = count + 1; sum = sum + i end
  end
  print(pattern, count, sum)
end

local text = "The 2 quick-brown foxes_9 (jumped) over\tthe lazy dog's [back], x=10;\n"
all(text, "%a+")
all(text, "%d+")
all(text, "%w+")
all(text, "%s+")
all(text, "%p")
all(text, "%u")
all(text, "%l%l%l%l+")
all(text, "[aeiou]+")
all(text, "[^%w%s]")
all(text, "[a-cx-z]")
all(text, "[%a_]+")
all(text, "[%w_]+%d")
all(text, "[(%[].-[)%]]")
all(text, "%f[%w]%w")
all(text, "%f[%W]%W?")
all(text, "%f[%a]%a+%f[%A]")
all(text, "%b()")
all(text, "o.")
all(text, ".o?x")
all(text, "(%w)%1")
all(text, "()%p")
all("a-b--c", "%-+")
all("a-b--c", "[-]")
all("a-b--c", "[a-]")
all("a-b--c", "[-b]")
all("]x]", "[]]")
all("]x]", "[^]]")
all("a]b^c", "[%]^]")
all("^x", "[x^]")
all("^x", "[%^]")
all("a%b", "%%")
all("a%b", "[%%]")
all("0a-f9", "[%d-f]")
all("xyz", "[x-]")
all("[a]", "[[]")
all("a.b.c", "[.]")
all("aaab", "a-b")
all("aaab", "a*")
all("aaab", "a?")
all("aaab", "a+b?")
all("aaab", "^a")
all("ab\0cd\0", "%z")
all("ab\0cd\0", "[%z]")
all("ab\0cd\0", "[^\0]+")
all("a\tb\nc", "%c")
all("((a)(b(c)))", "%b()")
all("<<a>b>", "%b<>")
all("xaxbx", "%bxx")
all("\"a\" 'b' \"c'", "([\"'])(.-)%1")
all("2+2=4", "%+")
all("$5 $10", "%$%d")
all("a$ b$", "$")
all("THE END", "%f[%z]")
print(("über"):match("[\xc3][\xbc]b"))

-- Anchors inside gmatch, empty matches, greedy against lazy.
for a, b in ("k1=v1, k2=v2"):gmatch("(%w+)=(%w+)") do io.write(a, "->", b, ";") end
print()
for p in ("abc"):gmatch("()") do io.write(p, " ") end
print()
print(("<a><b>"):match("<(.+)>"), ("<a><b>"):match("<(.-)>"), ("<a><b>"):match("<([^>]*)>"))
print(("aaa"):match("^(a-)$"), ("aaa"):match("^(a*)(a-)$"), ("aab"):match("(a+)(a*)b"))
print(("abcabc"):match("(abc)%1"), ("abcabd"):match("(abc)%1"), ("xyxy"):match("((x)(y))%1"))
