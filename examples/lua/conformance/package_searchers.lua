-- How modules are found.
package.path = "./no/?.lua;./no/?/init.lua"
package.cpath = "./no/?.so;./no/lib?.so"
print(#package.searchers, type(package.preload), package.config)
print(pcall(require, "no.such.module"))
print(pcall(require, "missing"))
print(package.searchpath("a.b", "./?.x;/?/?.y"))
print(package.searchpath("a.b", "./?.x", ".", "-"))
print(package.searchpath("a-b", "./?.x", "-"))
print(package.searchpath("a.b", "./?.x", ""))
print(package.searchpath("a.b", "x;;y"))
print(package.searchpath("a", ""))
print(package.searchpath("package_searchers", "./no?;./?.lua"))
print(pcall(package.searchpath, "a"))

package.preload.ready = function(...) print("loader", ...) return {name = "ready"} end
print(require "ready".name, select(2, require "ready"))
print(require "ready" == package.loaded.ready)
package.preload.nothing = function() end
print(require "nothing")
package.preload.no = function(name) package.loaded[name] = "set by itself" end
print(require "no")
package.preload.wrong = false
print(select(2, pcall(require, "wrong")):gsub("\n.*", ""))

table.insert(package.searchers, 2, function(name)
  if name == "mine" then return function(...) print("mine", (...), type(select(2, ...))) return "module" end, {} end
  if name == "number" then return 42 end
  if name == "nil" then return nil end
  return "mine does not know " .. name
end)
print(select("#", require "mine"), (require "mine"))
print(pcall(require, "other"))
print(pcall(require, "number"))
print(pcall(require, "nil"))
print(pcall(package.searchers[1], "x"))
print(package.searchers[1]("x"))
print(package.searchers[3]("x"))
print(package.searchers[5]("x"), select("#", package.searchers[5]("x")))
print(package.searchers[5]("x.y"))

local name = os.tmpname()
local file = assert(io.open(name, "w"))
file:write("return {...}")
file:close()
package.path = name
local loaded = require "from a file"
print(#loaded, loaded[1], loaded[2] == name, select(2, require "from a file") == nil)
print(package.searchpath("x", name) == name)
file = assert(io.open(name, "w"))
file:write("return = 1")
file:close()
local ok, message = pcall(require, "broken")
print(ok, (message:gsub(name:gsub("%W", "%%%0"), "NAME")))
os.remove(name)

package.path = 1
print(select(2, pcall(require, "x")):gsub("%d+%.?%d*", "N"))
package.path = nil
print(pcall(require, "x"))
package.path, package.cpath = "", {}
print(pcall(require, "x"))
package.searchers = {}
print(pcall(require, "x"))
package.searchers = nil
print(pcall(require, "x"))
print(require "ready".name)
print(pcall(require))
